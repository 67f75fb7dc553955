package main

import (
	"bufio"
	"fmt"
	"log"
	"sort"
	"sync"
	"time"
)

func runLoad(host, request string, connections, requests int, anew bool) {
	closing := request + "Connection: close\r\n\r\n"
	keeping := request + "\r\n"
	taken := make([][]float64, connections)
	var group sync.WaitGroup
	started := time.Now()
	for index := range taken {
		group.Add(1)
		go func() {
			defer group.Done()
			taken[index] = oneClient(host, keeping, closing, requests/connections, anew)
		}()
	}
	group.Wait()
	elapsed := time.Since(started)
	var all []float64
	for _, each := range taken {
		all = append(all, each...)
	}
	sort.Float64s(all)
	fmt.Printf("%d %.1f %.1f\n", elapsed.Microseconds(), all[len(all)/2], all[len(all)*99/100])
}

func oneClient(host, keeping, closing string, requests int, anew bool) []float64 {
	taken := make([]float64, 0, requests)
	if anew {
		for range requests {
			started := time.Now()
			connection := dial(host)
			exchange(connection, bufio.NewReader(connection), closing)
			connection.Close()
			taken = append(taken, float64(time.Since(started).Nanoseconds())/1000)
		}
		return taken
	}
	connection := dial(host)
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for range requests {
		started := time.Now()
		exchange(connection, reader, keeping)
		taken = append(taken, float64(time.Since(started).Nanoseconds())/1000)
	}
	return taken
}

func exchange(connection interface{ Write([]byte) (int, error) }, reader *bufio.Reader, request string) {
	if _, err := connection.Write([]byte(request)); err != nil {
		log.Fatal(err)
	}
	if err := readAnswer(reader); err != nil {
		log.Fatal(err)
	}
}
