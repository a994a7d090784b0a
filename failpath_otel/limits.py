"""Every size limit of what this package records, holds or sends, in one place.

A limit on characters counts Python characters, a limit on bytes counts bytes of the encoded record.
"""

from typing import Final

MAX_KEY_CHARS: Final = 200
"""Longest flow key or step key; a longer one is refused, because a shortened key would name another step."""

MAX_RUN_ID_CHARS: Final = 200
"""Longest run id; a longer one keeps its beginning and ends in a hash of the whole."""

MAX_METADATA_KEYS: Final = 64
"""Metadata keys of one record. OpenTelemetry keeps 128 attributes a span and evicts the oldest, which would be
the identity of the step, so metadata has to leave the host half of them."""

MAX_METADATA_KEY_CHARS: Final = 128
MAX_METADATA_TEXT_CHARS: Final = 4_096
MAX_METADATA_ITEMS: Final = 256
"""Items of one list or mapping inside metadata."""

MAX_METADATA_DEPTH: Final = 6
MAX_METADATA_BYTES: Final = 32_768
"""All of one metadata mapping, as JSON; the value that crosses the line is the last one."""

MAX_ERROR_NAME_CHARS: Final = 256
MAX_ERROR_MESSAGE_CHARS: Final = 4_096
MAX_STACK_CHARS: Final = 16_384

MAX_RECORD_BYTES: Final = 65_536
"""A larger record is cut down to its identity and its status."""

MAX_SPAN_PARTS: Final = 10_000
"""Attributes, events, and values in lists and mappings of one span that came by OTLP; OpenTelemetry's SDKs keep 128
attributes and 128 events, unless they are told otherwise. A step with more is rejected: without those beyond, it could
be another step, of another run, or with another outcome. Of a resource with more, no process is read."""

MAX_REQUEST_PARTS: Final = 1_000_000
"""The same of all spans and resources of one request together, and of the fields around them that are passed over.
The largest request has room for half as many attributes of a usual kind; steps beyond are rejected."""

MAX_BATCH_RECORDS: Final = 512
MAX_BATCH_BYTES: Final = 1_048_576

MAX_QUEUE_RECORDS: Final = 10_000
MAX_QUEUE_SIZE: Final = 1_000_000
"""The largest ``max_queue_size`` that can be asked for; the bound in bytes stays what it is."""

MAX_QUEUE_BYTES: Final = 16 * 1_048_576

MAX_REASON_CHARS: Final = 200
"""How much of a server's reason for a rejected record is kept."""

MAX_RESPONSE_BYTES: Final = 65_536
"""How much of a server's answer is read."""

SCHEDULE_DELAY: Final = 0.05
"""Seconds that a record waits for company, at most."""

POLLING_SECONDS: Final = 1.0
"""Seconds without a record after which delivery stops looking for them every schedule delay, and sleeps."""

SEND_TIMEOUT: Final = 1.5
"""Seconds that one send may take (Failpath's documentation, ``sendTimeoutMs``)."""

BATCH_GROWTH_DELAY: Final = 0.25
"""Seconds after a 413 until batches as large as the one that was refused are tried again; doubles each time in vain."""

BATCH_GROWTH_MAX_DELAY: Final = 60.0

BATCHES_UNTIL_GROWTH: Final = 64
"""Batches after which they are tried even sooner."""

MIN_TOO_LARGE_BYTES: Final = 4_096
"""A record of fewer bytes is not too large for any endpoint: a 413 to it, and nothing else, is a failure."""

SINGLES_IN_DOUBT: Final = 4
"""Single records that have to be refused for what they contain, until that may be about the way to the endpoint."""

MAX_PROBES: Final = 64
"""Requests by which one batch is searched for what is refused, until there is a pause."""

MAX_BATCHES_IN_DOUBT: Final = 4
"""Batches that are looked into for a record that the endpoint takes."""

MAX_AGE_SECONDS: Final = 172_800.0
"""Seconds after which records that could not be delivered are given up (48 hours)."""

RETRY_FIRST_DELAY: Final = 0.5
"""Seconds until the second attempt; the delay doubles from attempt to attempt."""

RETRY_MAX_DELAY: Final = 30.0

RETRY_MAX_DELAY_MISCONFIGURED: Final = 300.0
"""The same where the failure is about the way to the endpoint, or about the set-up of this machine."""

RETRY_JITTER: Final = 0.25
"""The part of a delay by which chance changes it, so that many processes do not come back at the same moment."""

OUTAGE_LOG_DELAY: Final = 10.0
"""Seconds of an outage before it is said on stderr, where the application has not configured logging."""

MAX_RETRY_AFTER: Final = 3_600.0
"""Seconds for which a server can ask for peace at most (``Retry-After``)."""

IDLE_SECONDS: Final = 30.0
"""Seconds without a record after which the delivery thread ends and its connections are closed."""

ABANDON_SECONDS: Final = 5.0
"""Seconds after the last provider is gone, or after a shutdown, from which on a failing endpoint is not tried any more,
and what is in the journal is left to another process."""

FLUSH_TIMEOUT: Final = 5.0
"""Seconds that ``flush()`` and ``shutdown()`` wait by default."""

EXIT_TIMEOUT: Final = 2.0
"""Seconds by which delivery may delay the end of the interpreter."""

EXIT_RESERVE: Final = 0.2
"""The part of these seconds that is kept for calls of ``on_error``."""

RUN_END_TIMEOUT: Final = 0.25
"""Seconds that the end of a run may wait for delivery in a process that is going to end by ``os._exit``."""

RUN_END_SHARE: Final = 0.02
"""The part of such a process's life that the ends of runs may wait, beyond :data:`RUN_END_TIMEOUT` for all together."""

EXIT_POLL: Final = 0.01
"""Seconds between two looks, at the end of the interpreter, at what is being delivered for others."""

MAX_PATH_CHARS: Final = 4_096
"""The longest path of a journal directory (Linux, PATH_MAX)."""

MAX_SECONDS: Final = 86_400.0
"""Longest time to wait that an option or an argument may name."""

JOURNAL_SEGMENT_BYTES: Final = 1_048_576
"""Size of one file of a journal, which is set aside when it is begun."""

JOURNAL_SEGMENTS: Final = 64
"""Files that one process may have in its journal: 64 MiB; beyond, the oldest records go."""

MAX_LOCKED_ORPHANS: Final = 16
"""Journals that one process adopts at a time."""

MAX_JOURNALS: Final = 1_000
"""Journals of gone processes that a journal directory may hold while they cannot be delivered; the oldest go first."""

MAX_JOURNALS_BYTES: Final = 1_073_741_824
"""Bytes that all journals of a directory may take together; beyond, the oldest of gone processes go."""

MAX_JOURNALS_SHARE: Final = 0.05
"""The part of the file system that they may take, where that is less."""

DISK_CHECK_SECONDS: Final = 60.0
"""Seconds for which what gone processes have left could not be delivered until there may be too much of it; and from
one look at that to the next."""

ORPHAN_SCAN_SECONDS: Final = 3.0
"""Seconds after which a process looks again for journals whose processes are gone."""

FORK_SECONDS: Final = 10.0
"""Seconds after a fork for which the parent looks more often: children may end without a word."""

FORK_SCAN_SECONDS: Final = 1.0
"""Seconds after which it then looks again."""

JOURNAL_RETRY_FIRST_SECONDS: Final = 1.0
"""Seconds after which a journal that could not be written is tried again; doubled from failure to failure."""

JOURNAL_RETRY_SECONDS: Final = 30.0
"""Seconds between two such tries, at most."""

JOURNAL_SLICE_RECORDS: Final = 64
"""Records that are moved from memory into the journal before other threads get a turn for sure."""

END_OF_TIME: Final = 253_402_300_800
"""Seconds since the epoch before which every time lies: the year 9999 is the last one that RFC 3339 can tell."""

MAX_PATTERN_CHARS: Final = 300
"""Longest pattern of a rule, and longest name of the attribute that holds a run id."""

MAX_RULES: Final = 500
MAX_RULES_BYTES: Final = 1_048_576
"""The largest file of rules."""

MAX_CACHED_NAMES: Final = 4_096
"""Spans, by scope and name, of which it is kept whether a rule matches."""

MAX_NAME_CHARS: Final = 512
"""How much of a span's name, and of its scope, a rule looks at."""

MAX_UNMATCHED_CHARS: Final = 1_000
"""How much the log tells of spans where no rule has matched any."""

LATE_RUN_ID_POLL: Final = 0.05
"""Seconds between two looks whether a rule's step has the attribute by now that holds its run id."""

LATE_RUN_ID: Final = 1.0
"""Seconds that such a step waits for it, before it is reported without."""

UNMATCHED_LOG_DELAY: Final = 30.0
"""For how long there are spans, and none that a rule matches, until the log says so."""
