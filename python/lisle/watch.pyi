"""What a snapshot is made of; docs/schema explains each field, and a newer version may have more."""

from collections.abc import Callable
from typing import Literal, TypedDict, type_check_only

__all__ = ["dump", "dump_on_signal", "on_report", "snapshot", "start_agent", "start_agent_on_signal"]

# The types are here for those who check types alone: `if TYPE_CHECKING: from lisle.watch import Snapshot`.

@type_check_only
class Process(TypedDict):
    pid: int
    command: list[str]
    age_us: int
    lisle: str
    interpreter: str | None

@type_check_only
class Owner(TypedDict):
    ident: int
    name: str
    ended: bool
    bond: str
    taken_at: str | None
    need: int

@type_check_only
class Wait(TypedDict):
    kind: str
    object: str
    key: int
    called_at: str
    waited_us: int
    ends_in_us: int | None
    interruptible: bool
    running: str | None
    owners: list[Owner]

@type_check_only
class Waited(TypedDict):
    kind: str
    count: int
    total_us: int
    longest_us: int

@type_check_only
class Frame(TypedDict):
    file: str
    line: int
    function: str

@type_check_only
class Thread(TypedDict):
    ident: int
    native_id: int
    name: str
    origin: Literal["made", "main", "adopted", "other"]
    daemon: bool
    service: bool
    state: Literal["started", "running", "blocked", "waiting", "other"]
    cpu_us: int | None
    interrupted: bool
    wait: Wait | None
    waited: list[Waited]
    frames: list[Frame]

@type_check_only
class Stranger(TypedDict):
    native_id: int
    name: str

@type_check_only
class Object(TypedDict):
    id: int
    key: int
    kind: str
    object: str
    waits: int
    total_us: int
    longest_us: int
    waiting: int
    holders: list[int]
    length: int | None

@type_check_only
class Report(TypedDict):
    confidence: Literal["proven", "timed", "suspected", "orphaned", "other"]
    text: str
    threads: list[int]
    cycle: int
    age_us: int
    failed: int | None
    told: bool

@type_check_only
class Snapshot(TypedDict):
    schema: list[int]
    process: Process
    taken_at_us: int
    took_us: int
    threads: list[Thread]
    strangers: list[Stranger]
    objects: list[Object]
    reports: list[Report]
    past_reports: list[Report]
    unread: list[int]
    frames_missing: str | None

def snapshot(*, frames: bool = True) -> Snapshot: ...
def dump() -> str: ...
def on_report(call: Callable[[Report], object] | None) -> None: ...
def start_agent() -> str: ...
def start_agent_on_signal() -> None: ...
def dump_on_signal() -> None: ...
