"""An HTTP client and a scripted backend on one virtual reactor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.client.http import HttpClient
from wsloop.client.names import OnlyAddresses
from wsloop.client.urls import parse_url
from wsloop.loop.reactor import Reactor
from wsloop.protocol.http_client import HttpRequest, HttpResponse
from wsloop.testing.clock import FakeClock
from wsloop.testing.http_backend import Answer, MemoryHttpBackend, ReceivedRequest
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.testing.poller import FakePoller
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.client.names import Names
    from wsloop.client.pool import HttpLimits
    from wsloop.errors import HttpError

PLACE = TcpBind("127.0.0.1", 9000)
URL = parse_url("http://127.0.0.1:9000/ask", "test")


def always(answer: Answer) -> Callable[[ReceivedRequest], Answer]:
    return lambda _request: answer


class World:
    """`outcomes` are those of `ask`, in the order in which they came."""

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        seed: int = 0,
        faults: NetworkFaults | None = None,
        limits: HttpLimits | None = None,
        names: Names | None = None,
        listens: bool = True,
    ) -> None:
        self.clock = FakeClock()
        self.network = MemoryNetwork(self.clock, seed, faults=faults)
        self.errors: list[Exception] = []
        self.reactor = Reactor(
            self.clock,
            FakePoller(self.network, self.clock),
            on_error=lambda error, _where: self.errors.append(error),
        )
        self.client = HttpClient(self.reactor, self.network, names or OnlyAddresses(), limits)
        self.answer = answer or Answer()
        self.backend = self.listen() if listens else None
        self.outcomes: list[HttpResponse | HttpError] = []

    def listen(self, place: TcpBind = PLACE) -> MemoryHttpBackend:
        return MemoryHttpBackend(self.reactor, self.network, place, lambda _request: self.answer)

    @property
    def there(self) -> MemoryHttpBackend:
        assert self.backend is not None
        return self.backend

    def ask(
        self,
        body: bytes = b"{}",
        *,
        method: str = "POST",
        timeout_s: float = 1.0,
        idempotent: bool = False,
        line: str = "",
    ) -> None:
        request = HttpRequest(method, URL.target, URL.host, (), body, idempotent)
        self.client.call(URL, request, timeout_s, self.outcomes.append, line)

    def run_until(self, condition: Callable[[], object], within_s: float = 60.0) -> None:
        deadline_s = self.clock.now() + within_s
        self.reactor.call_at(deadline_s, lambda: None)
        while not condition():
            assert self.clock.now() < deadline_s, "not so in time"
            self.reactor.run_once()

    def run_for(self, duration_s: float) -> None:
        end: list[bool] = []
        self.reactor.call_later(duration_s, lambda: end.append(True))
        self.run_until(lambda: end, duration_s + 1)

    def get(self, body: bytes = b"{}", **options: object) -> HttpResponse | HttpError:
        self.outcomes.clear()
        self.ask(body, **options)  # type: ignore[arg-type] # passed on
        self.run_until(lambda: self.outcomes)
        return self.outcomes[0]

    def close(self) -> None:
        """Close everything, and check that nothing leaks and nothing went wrong unseen."""
        self.client.close()
        if self.backend is not None:
            self.backend.close()
        self.reactor.stop()
        self.reactor.run_once()
        assert not self.errors
        assert self.network.open_descriptors() == {}
