// SPDX-License-Identifier: MIT

// echo BUFFER NETWORK PATH: an echo server as a textbook has it, with a goroutine for each
// connection. NETWORK is unix, unixpacket or unixgram; BUFFER is how many bytes are read at once.
package main

import (
	"log"
	"net"
	"os"
	"strconv"
)

func serve(connection net.Conn, size int) {
	defer connection.Close()
	buffer := make([]byte, size)
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func serveConnections(network, path string, size int) error {
	listener, err := net.Listen(network, path)
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go serve(connection, size)
	}
}

func serveDatagrams(path string, size int) error {
	socket, err := net.ListenPacket("unixgram", path)
	if err != nil {
		return err
	}
	buffer := make([]byte, size)
	for {
		n, sender, err := socket.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := socket.WriteTo(buffer[:n], sender); err != nil {
			log.Print(err)
		}
	}
}

func main() {
	size, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	network, path := os.Args[2], os.Args[3]
	if network == "unixgram" {
		log.Fatal(serveDatagrams(path, size))
	}
	log.Fatal(serveConnections(network, path, size))
}
