// SPDX-License-Identifier: MIT

// A client of the three sockets with Go's net library: client STREAM SEQPACKET DGRAM.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func expect(got, want []byte) {
	if !bytes.Equal(got, want) {
		check(fmt.Errorf("received %q, not %q", got, want))
	}
}

var pieces = [][]byte{[]byte("one"), []byte("two"), []byte("three")}

// Three writes may come back as one read.
func stream(path string) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	check(err)
	check(conn.SetDeadline(time.Now().Add(10 * time.Second)))
	for _, piece := range pieces {
		_, err = conn.Write(piece)
		check(err)
	}
	check(conn.CloseWrite())
	all, err := io.ReadAll(conn)
	check(err)
	expect(all, bytes.Join(pieces, nil))
}

// Three messages come back as three, and a short buffer cuts only its own.
func messages(conn *net.UnixConn) {
	check(conn.SetDeadline(time.Now().Add(10 * time.Second)))
	for _, piece := range pieces {
		_, err := conn.Write(piece)
		check(err)
	}
	buffer := make([]byte, 100)
	for i, piece := range pieces {
		size := len(buffer)
		if i == 2 {
			size, piece = 2, piece[:2]
		}
		n, err := conn.Read(buffer[:size])
		check(err)
		expect(buffer[:n], piece)
	}
}

func main() {
	if len(os.Args) != 4 {
		check(fmt.Errorf("usage: client STREAM SEQPACKET DGRAM"))
	}
	stream(os.Args[1])

	packet, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: os.Args[2], Net: "unixpacket"})
	check(err)
	messages(packet)

	own := fmt.Sprintf("@uds-echo-go-%d", os.Getpid())
	datagram, err := net.DialUnix("unixgram", &net.UnixAddr{Name: own, Net: "unixgram"},
		&net.UnixAddr{Name: os.Args[3], Net: "unixgram"})
	check(err)
	messages(datagram)
	fmt.Println("ok")
}
