"""Which keys have a flag of `wsloop serve`, and its name: uvicorn's where it has one."""

FLAGS = {
    "server.host": "--host",
    "server.port": "--port",
    "server.bind": "--bind",
    "server.backlog": "--backlog",
    "server.limit_concurrency": "--limit-concurrency",
    "server.limit_per_ip": "--limit-per-ip",
    "server.limit_accept_rate": "--limit-accept-rate",
    "ws.max_size": "--ws-max-size",
    "ws.max_fragments": "--ws-max-fragments",
    "ws.ping_interval": "--ws-ping-interval",
    "ws.ping_timeout": "--ws-ping-timeout",
    "ws.send_limit": "--ws-send-limit",
    "ws.per_message_deflate": "--ws-per-message-deflate",
    "tls.certfile": "--ssl-certfile",
    "tls.keyfile": "--ssl-keyfile",
    "admin.enabled": "--admin",
    "admin.host": "--admin-host",
    "admin.port": "--admin-port",
    "server.timeout_graceful_shutdown": "--timeout-graceful-shutdown",
    "server.proxy_headers": "--proxy-headers",
    "server.forwarded_allow_ips": "--forwarded-allow-ips",
    "server.poller": "--poller",
    "log.level": "--log-level",
    "log.format": "--log-format",
}
"""Key -> flag, in the order of the help."""
