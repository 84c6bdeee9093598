"""HTTP and WebSocket at the edge of the bus, and the page. One module per protocol, no logic."""
