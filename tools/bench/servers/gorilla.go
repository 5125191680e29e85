// gorilla/websocket on net/http. Limits are its defaults; buffers are reused from the HTTP server,
// which is its default too. A fan-out prepares a message once and writes it to every connection.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
)

var (
	mutex       sync.Mutex
	subscribers = map[*websocket.Conn]bool{}
	upgrader    = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
)

func echo(w http.ResponseWriter, r *http.Request) {
	connection, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer connection.Close()
	for {
		kind, data, err := connection.ReadMessage()
		if err != nil {
			return
		}
		if connection.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func publish(data []byte) error {
	prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
	if err != nil {
		return err
	}
	mutex.Lock()
	defer mutex.Unlock()
	for connection := range subscribers {
		connection.WritePreparedMessage(prepared) // one that is gone is noticed by its reader
	}
	return nil
}

func fanOut(w http.ResponseWriter, r *http.Request) {
	connection, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	mutex.Lock()
	subscribers[connection] = true
	mutex.Unlock()
	defer func() {
		mutex.Lock()
		delete(subscribers, connection)
		mutex.Unlock()
		connection.Close()
	}()
	for {
		_, data, err := connection.ReadMessage()
		if err != nil || publish(data) != nil {
			return
		}
	}
}

func main() {
	host := flag.String("host", "127.0.0.1", "address")
	port := flag.Int("port", 0, "TCP port; 0 = any free one")
	role := flag.String("role", "echo", "kind of cell")
	flag.Int("frame-bytes", 0, "for servers that do not parse")
	flag.Parse()
	upgrader.EnableCompression = *role == "deflate"
	http.HandleFunc("/echo", echo)
	http.HandleFunc("/fanout", fanOut)
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", *host, *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, nil)
}
