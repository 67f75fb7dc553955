// What the bench needs besides the emulator: a server in Go to compare it with, what both ask, and a client.
//
//	floor PORT STS_URL                  serves as the emulator does, with net/http alone
//	upstream PORT CERTIFICATE KEY LIFE  answers as STS and as IAM Roles Anywhere do, with keys that live LIFE seconds
//	load URL CONNECTIONS REQUESTS keep|new [TOKEN]  prints microseconds: all, p50, p99
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: floor | upstream | load")
	}
	arguments := os.Args[2:]
	switch os.Args[1] {
	case "floor":
		floor(arguments[0], arguments[1])
	case "upstream":
		life, err := strconv.Atoi(arguments[3])
		if err != nil {
			log.Fatal(err)
		}
		upstream(arguments[0], arguments[1], arguments[2], life)
	case "load":
		load(arguments)
	default:
		log.Fatalf("no such command: %s", os.Args[1])
	}
}

func load(arguments []string) {
	target, err := url.Parse(arguments[0])
	if err != nil {
		log.Fatal(err)
	}
	connections, _ := strconv.Atoi(arguments[1])
	requests, _ := strconv.Atoi(arguments[2])
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 169.254.169.254\r\nUser-Agent: bench\r\nAccept: */*\r\n", target.Path)
	if len(arguments) > 4 {
		request += "X-aws-ec2-metadata-token: " + arguments[4] + "\r\n"
	}
	runLoad(target.Host, request, connections, requests, arguments[3] == "new")
}

// readAnswer reads one answer with a Content-Length, and fails on any status but 200.
func readAnswer(reader *bufio.Reader) error {
	status, err := reader.ReadString('\n')
	if err != nil {
		return err
	}
	if len(status) < 12 || status[9:12] != "200" {
		return fmt.Errorf("answered %q", status)
	}
	length := 0
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			break
		}
		if len(line) > 16 && (line[:16] == "Content-Length: " || line[:16] == "content-length: ") {
			length, err = strconv.Atoi(line[16 : len(line)-2])
			if err != nil {
				return err
			}
		}
	}
	_, err = reader.Discard(length)
	return err
}

func dial(host string) net.Conn {
	connection, err := net.Dial("tcp", host)
	if err != nil {
		log.Fatal(err)
	}
	return connection
}
