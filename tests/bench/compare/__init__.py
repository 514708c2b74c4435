# SPDX-License-Identifier: MIT
"""The comparison of uds-echod with other echo servers; tools/bench runs it, under a systemd."""
