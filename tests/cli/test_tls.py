"""https: our connections under TLS, a certificate that is renewed, and each way in which it can be wrong."""

import os
import signal
import socket
import ssl
import threading
import time

import httpx
import pytest
import trustme

SECONDS = 60


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate authority, its file, and files of a certificate and a key that it made."""
    folder = tmp_path_factory.mktemp("tls")
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.pem")
    write(made, folder)
    return made, folder


def write(authority, folder):
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")


@pytest.fixture
def trusting(authority, monkeypatch):
    """The commands and clients of this process trust that authority, as their users let them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1] / "ca.pem"))


@pytest.fixture
def secure(serve, authority):
    """A server under TLS."""
    folder = authority[1]
    return serve("--tls-cert", folder / "cert.pem", "--tls-key", folder / "key.pem")


def trusted(authority):
    return httpx.Client(verify=ssl.create_default_context(cafile=authority[1] / "ca.pem"), timeout=SECONDS)


def test_all_ways_in_are_answered_under_tls(secure, authority, trusting, run, tmp_path):
    assert secure.url.startswith("https://127.0.0.1:")
    with trusted(authority) as client:
        taken = [client.post(f"{secure.url}/next").json()["seq"] for _ in range(3)]  # the lane
        assert taken == [1, 2, 3]
        assert client.get(f"{secure.url}/queues/default/audit").json()["balanced"]  # the framework
        assert client.put(f"{secure.url}/queues/jobs", json={}).status_code == 201
        large = "x" * 200_000
        items = [{"value": large} for _ in range(20)]
        assert client.post(f"{secure.url}/queues/jobs/items", json={"items": items}).status_code == 201
        leased = client.post(f"{secure.url}/queues/jobs/lease", json={"max": 20}).json()
        assert [item["value"] == large for item in leased["items"]] == [True] * 20
    assert run("next", "default", "--url", secure.url)[:2] == (0, "4\n")
    code, _, err = run("backup", "--to", tmp_path / "b", "--url", secure.url)
    assert (code, err) == (0, "")


def test_our_clients_verify(secure, authority, trusting):
    from dibs import Client

    with Client(secure.url) as client:
        assert client.queue("default").next().value == 1


def test_a_server_of_an_unknown_authority_is_refused(secure, run):
    code, out, err = run("next", "default", "--url", secure.url)
    assert (code, out, "certificate verify failed" in err) == (7, "", True)


def test_plain_http_is_no_way_in(secure, run):
    code, _, err = run("next", "default", "--url", secure.url.replace("https", "http"))
    assert (code, "Traceback" in err) == (7, False)


def test_waits_and_streams(secure, authority):
    with trusted(authority) as client:
        client.put(f"{secure.url}/queues/late", json={})
        got = []
        wait = threading.Thread(
            target=lambda: got.append(client.post(f"{secure.url}/queues/late/next?wait=20").json()["value"])
        )
        wait.start()
        with client.stream("GET", f"{secure.url}/events?view=overview") as events:
            assert next(events.iter_lines()).startswith("event:")
        client.post(f"{secure.url}/queues/late/items", json={"items": [{"value": "at last"}]})
        wait.join(SECONDS)
        assert got == ["at last"]


def connected(server, authority):
    context = ssl.create_default_context(cafile=authority[1] / "ca.pem")
    raw = socket.create_connection(("127.0.0.1", server.port), SECONDS)
    return context.wrap_socket(raw, server_hostname="localhost")


def test_requests_that_come_together_and_a_client_that_goes(secure, authority):
    request = b"POST /next HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(secure, authority) as wire:
        assert (wire.version(), wire.selected_alpn_protocol()) >= ("TLSv1.2", None)
        wire.sendall(request * 3)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 3 or not answers.endswith(b"\n"):
            answers += wire.recv(65_536)
    with connected(secure, authority) as wire:
        wire.sendall(request[:20])  # and away, in the middle of a head
    with connected(secure, authority) as wire:
        wire.sendall(b"GARBAGE\r\n\r\n")
        assert wire.recv(65_536).startswith(b"HTTP/1.1 400")
    assert "eof_received" not in secure.stderr


def test_a_signal_ends_it_with_connections_open(secure, authority):
    with connected(secure, authority):
        began = time.monotonic()
        assert secure.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < SECONDS
    assert secure.stderr == ""


def serial(server, authority):
    with connected(server, authority) as wire:
        return wire.getpeercert()["serialNumber"]


def until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_renewed_certificate_is_taken_and_a_wrong_one_is_not(serve, authority, tmp_path):
    made, _ = authority
    folder = tmp_path / "renewed"
    folder.mkdir()
    write(made, folder)
    server = serve("--tls-cert", folder / "cert.pem", "--tls-key", folder / "key.pem")
    first = serial(server, authority)
    with connected(server, authority) as kept:
        write(made, folder)
        os.kill(server.process.pid, signal.SIGHUP)
        until(lambda: serial(server, authority) != first)
        second = serial(server, authority)
        (folder / "key.pem").write_text("no key")
        os.kill(server.process.pid, signal.SIGHUP)
        until(lambda: "there is no PRIVATE KEY in it" in server.stderr)
        assert serial(server, authority) == second
        kept.sendall(b"POST /next HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.recv(65_536).startswith(b"HTTP/1.1 200")


def test_a_reload_that_can_not_read_the_certificate_in_use_changes_nothing(serve, authority, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        write(authority[0], folder)
    config = tmp_path / "dibs.toml"

    def say(folder, more):
        files = f'tls_cert = "{folder}/cert.pem"\ntls_key = "{folder}/key.pem"\n'
        config.write_text(f'{files}[queues]\ndefault = "count"\n{more}')

    say(old, "")
    server = serve(env={"DIBS_CONFIG": str(config)})
    with trusted(authority) as client:
        say(new, 'more = "count"\n')
        (old / "cert.pem").unlink()
        refused = client.post(f"{server.url}/reload")
        assert (refused.status_code, "nothing was changed: tls_cert" in refused.text) == (409, True)
        assert client.get(f"{server.url}/queues/more").status_code == 404


def test_one_file_may_have_both(serve, authority):
    server = serve("--tls-cert", authority[1] / "both.pem")
    assert serial(server, authority)


class TestRefused:
    @pytest.fixture
    def folder(self, authority, tmp_path):
        """Good files, and some that are not."""
        made, good = authority
        for name in ("cert.pem", "key.pem", "both.pem"):
            (tmp_path / name).write_bytes((good / name).read_bytes())
        made.issue_cert("other").private_key_pem.write_to_path(tmp_path / "other.pem")
        (tmp_path / "text.pem").write_text("hello")
        (tmp_path / "cut.pem").write_bytes((good / "key.pem").read_bytes()[:200] + b"\nPRIVATE KEY-----\n")
        (tmp_path / "locked.pem").write_text(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n"
        )
        return tmp_path

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--tls-cert", "none.pem"], "option --tls-cert: none.pem: No such file or directory"),
            (["--tls-cert", "cert.pem", "--tls-key", "none.pem"], "option --tls-key: none.pem: No such file"),
            (["--tls-cert", "cert.pem"], "option --tls-cert: cert.pem: there is no PRIVATE KEY in it"),
            (["--tls-cert", "text.pem", "--tls-key", "key.pem"], "there is no CERTIFICATE in it"),
            (["--tls-cert", "cert.pem", "--tls-key", "text.pem"], "there is no PRIVATE KEY in it"),
            (
                ["--tls-cert", "cert.pem", "--tls-key", "other.pem"],
                "option --tls-key: other.pem is not the key of the cert",
            ),
            (["--tls-cert", "cert.pem", "--tls-key", "locked.pem"], "the key has a passphrase"),
            (["--tls-cert", "cert.pem", "--tls-key", "cut.pem"], "can't be read"),
            (["--tls-cert", ".", "--tls-key", "key.pem"], "Is a directory"),
            (["--tls-key", "key.pem"], "option --tls-key: there is no tls_cert"),
        ],
    )
    def test_a_sentence_says_which_file_is_wrong(self, folder, dibs, options, told):
        ended = dibs("serve", "--port", 0, *options)
        assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
        assert told in ended.stderr
        assert ended.stderr.count("\n") == 1
