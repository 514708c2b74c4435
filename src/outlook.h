// SPDX-License-Identifier: MIT
#pragma once

/*
 * What of its surroundings keeps the daemon from seeing who its clients are. Its rules then match
 * nobody, which is safe, and hard to find out: so it is said in the log.
 */

/* NEEDS: what the policy asks for, a set of enum policy_need. */
void outlook_tell(unsigned needs);
