"""The answer to a COMMIT is lost, whether the commit went through or not: every caller hears what is so."""

import pytest

pytestmark = pytest.mark.slow


# What is lost may be a beat, and the take comes while nobody knows of that: it was not sent, and is told no.


@pytest.mark.parametrize("lost", ["answer", "transaction"])
def test_with_a_key_the_answer_is_exact(fleet, database, proxy, lost):
    between, through = proxy(database.url)
    servers = fleet(through).several(2)
    for seq, server in enumerate(servers * 2, start=1):
        between.losing.append(lost)
        refused = server.until_answered(key=str(seq))
        assert {each["handed_out"] for each in refused} <= {"no"}, refused
        assert server.post(key=str(seq)).json()["seq"] == seq
        assert not between.losing
    audit = servers[0].get("/queues/default/audit").json()
    assert (audit["cursor"], audit["balanced"]) == (4, True)
    assert "Traceback" not in "".join(server.said() for server in servers)


def test_without_a_key_it_is_exact_too(fleet, database, proxy, until):
    between, through = proxy(database.url)
    owner = fleet(through).add()
    seqs, refused = [], []

    def lost_and_answered():
        answer = owner.post().json()
        (seqs if "seq" in answer else refused).append(answer)
        return "seq" in answer and not between.losing

    for lost in ("answer", "transaction") * 5:
        between.losing.append(lost)
        until(f"the {lost} is lost, and a take is answered", lost_and_answered)
    assert {each["handed_out"] for each in refused} <= {"no"}, refused
    assert [each["seq"] for each in seqs] == list(range(1, len(seqs) + 1))
    assert len(seqs) >= 10  # also of those whose transaction was lost


def test_a_batch_that_is_lost_again_and_again_is_held_until_it_is_done(fleet, database, proxy):
    between, through = proxy(database.url)
    owner = fleet(through).add()
    assert owner.post().json()["seq"] == 1
    between.losing += ["transaction", "answer", *["transaction"] * 9]  # some 3 s, by the pauses in between
    refused = owner.until_answered(key="2")
    assert {each["handed_out"] for each in refused} <= {"no"}, refused
    assert (owner.post(key="2").json()["seq"], between.losing) == (2, [])
    assert owner.post().json()["seq"] == 3
