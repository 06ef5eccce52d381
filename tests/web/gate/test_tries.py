from web.gate.tries import FREE_TRIES, FREE_TRIES_OF_ONE_SIDE, LONGEST_WAIT_S, Tries

HOME, OFFICE = "192.0.2.1", "192.0.2.2"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def wrong(tries: Tries, count: int, name: str = "anna", address: str = HOME) -> None:
    for _ in range(count):
        tries.began(name, address)


def test_a_few_are_free_and_each_further_one_waits_twice_as_long() -> None:
    clock = Clock()
    tries = Tries(clock)
    wrong(tries, FREE_TRIES - 1)
    assert tries.wait_s("anna", HOME) == 0
    waits = []
    for _ in range(12):
        wrong(tries, 1)
        waits.append(tries.wait_s("anna", HOME))
        clock.now += waits[-1]
        assert tries.wait_s("anna", HOME) == 0
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_WAIT_S


def test_others_do_not_wait_for_it() -> None:
    tries = Tries(Clock())
    wrong(tries, FREE_TRIES + 3)
    assert tries.wait_s("anna", OFFICE) == tries.wait_s("bert", HOME) == 0


def test_many_names_from_one_address_and_one_name_from_many_wait_too() -> None:
    tries = Tries(Clock())
    for number in range(FREE_TRIES_OF_ONE_SIDE):
        wrong(tries, 1, f"user{number}", HOME)
        wrong(tries, 1, "anna", f"192.0.2.{number + 10}")
    assert tries.wait_s("somebody", HOME) > 0
    assert tries.wait_s("anna", OFFICE) > 0
    assert tries.wait_s("somebody", OFFICE) == 0


def test_one_machine_has_a_whole_network_of_ipv6() -> None:
    tries = Tries(Clock())
    for number in range(FREE_TRIES):
        wrong(tries, 1, "anna", f"2001:db8::{number:x}")
    assert tries.wait_s("anna", "2001:db8::ffff") > 0
    assert tries.wait_s("anna", "2001:db8:0:1::1") == 0


def test_the_right_password_ends_the_waiting_for_that_name_alone() -> None:
    tries = Tries(Clock())
    wrong(tries, FREE_TRIES)
    wrong(tries, FREE_TRIES, "bert")
    tries.was_right("anna", HOME)
    assert tries.wait_s("anna", HOME) == 0
    assert tries.wait_s("bert", HOME) > 0


def test_what_is_long_ago_is_forgotten() -> None:
    clock = Clock()
    tries = Tries(clock)
    wrong(tries, FREE_TRIES + 8)
    clock.now += 2 * 3600
    wrong(tries, 1)
    assert tries.wait_s("anna", HOME) == 0
