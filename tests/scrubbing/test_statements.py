"""Passwords in command lines, SQL and connection strings: the same in errors and in the texts of metadata."""

import time

import pytest

from failpath_otel.scrubbing.text import redact_text
from failpath_otel.scrubbing.values import clean_metadata

SECRETS = {
    "host=db password=hunter2 port=5432": "host=db password=[redacted] port=5432",
    "pg_dump --password hunter2 shop": "pg_dump --password [redacted] shop",
    "Server=db;Pwd=hunter2;Database=shop": "Server=db;Pwd=[redacted];Database=shop",
    '{"user": "ada", "password": "hunter2"}': '{"user": "ada", "password": "[redacted]"}',
    "X-Api-Key: hunter2": "X-Api-Key: [redacted]",
    "mysql -uroot -phunter2 shop": "mysql -uroot -p[redacted] shop",
    "mysqldump -u root -p'hunter2 x' shop": "mysqldump -u root -p'[redacted]' shop",
    "['mysql', '-uroot', '-phunter2', 'shop']": "['mysql', '-uroot', '-p[redacted]', 'shop']",
    "mariadb-dump -phunter2 shop": "mariadb-dump -p[redacted] shop",
    "sshpass -p hunter2 ssh db": "sshpass -p [redacted] ssh db",
    "['sshpass', '-p', 'hunter2', 'ssh']": "['sshpass', '-p', '[redacted]', 'ssh']",
    "redis-cli -h db -a hunter2 ping": "redis-cli -h db -a [redacted] ping",
    "docker login -u ada -p hunter2 hub": "docker login -u ada -p [redacted] hub",
    "curl -u ada:hunter2 https://a.example": "curl -u [redacted] https://a.example",
    "curl -sS -uada:hunter2 https://a.example": "curl -sS -u[redacted] https://a.example",
    "curl --user 'ada:hunter2 x' https://a.example": "curl --user '[redacted]' https://a.example",
    "curl --user=ada:hunter2 https://a.example": "curl --user=[redacted] https://a.example",
    'curl -U "ada:hunter2" https://a.example': 'curl -U "[redacted]" https://a.example',
    "['curl', '-u', 'ada:hunter2', 'https://a.example']": "['curl', '-u', '[redacted]', 'https://a.example']",
    "ALTER USER ada WITH PASSWORD 'hunter2'": "ALTER USER ada WITH PASSWORD '[redacted]'",
    "ALTER ROLE ada ENCRYPTED PASSWORD 'it''s hunter2' VALID": "ALTER ROLE ada ENCRYPTED PASSWORD '[redacted]' VALID",
    "create user ada identified by 'hunter2'": "create user ada identified by '[redacted]'",
    "ALTER USER a IDENTIFIED WITH sha2 BY 'hunter2';": "ALTER USER a IDENTIFIED WITH sha2 BY '[redacted]';",
    "SET PASSWORD FOR ada = PASSWORD('hunter2')": "SET PASSWORD FOR ada = PASSWORD('[redacted]')",
}
LEFT_ALONE = [
    *(
        "psql -p 5432 -U ada shop",
        "mysql -p shop",
        "ssh -p 2222 db",
        "mkdir -p /srv/shop",
        "curl -u ada https://a.example",
    ),
    *("docker run -p 8080:80 shop", "curl -p -a https://a.example:8080", "cp -a x:y z", "python -u shop.py a:b"),
    *("the password is wrong", "no password for user 'ada'", "identified by its id", "mysql: -1 rows - position 7"),
]


@pytest.mark.parametrize(("text", "expected"), SECRETS.items(), ids=lambda text: text[:30])
def test_a_password_is_taken_out_of_an_error_and_of_a_text_in_metadata_alike(text: str, expected: str) -> None:
    assert redact_text(text) == expected
    assert redact_text(expected) == expected
    assert clean_metadata({"note": text}) == {"note": expected}
    assert clean_metadata({"list": [{"note": text}], "raw": text.encode()}) == {
        "list": [{"note": expected}],
        "raw": expected,
    }


@pytest.mark.parametrize("around", ["failed: {}", "first\n{}\nlast"])
@pytest.mark.parametrize("text", SECRETS, ids=lambda text: text[:30])
def test_it_is_found_whatever_stands_around_it(text: str, around: str) -> None:
    assert "hunter2" not in str(clean_metadata({"note": around.format(text)}))


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_a_text_without_a_password_stays(text: str) -> None:
    assert clean_metadata({"note": text}) == {"note": text}


def seconds(text: str) -> float:
    def once() -> float:
        began = time.thread_time()
        redact_text(text)
        return time.thread_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    "unit", ["curl -u ", " -u", " -pa", "mysql ", "curl -u a:", "password '", "identified with ", "''"]
)
@pytest.mark.parametrize("before", ["", "mysql ", "PASSWORD '"])
def test_bad_input_four_times_the_text_takes_no_more_than_a_few_times_as_long(unit: str, before: str) -> None:
    short, long = (before + (unit * size)[:size] for size in (8_000, 32_000))
    assert seconds(long) < 0.05 + 10 * seconds(short)
