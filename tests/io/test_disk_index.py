"""Values by key, on disk."""

from ita.io.disk_index import disk_index


def test_values_come_in_the_order_in_which_they_were_added_and_nothing_stays(tmp_path):
    output = tmp_path / "table.parquet"
    with disk_index(output, "a") as first, disk_index(output, "b") as second:
        first.fill((f"k{number % 3}", {"n": number, "half": 0.1 * number}) for number in range(7))
        second.fill([])
        assert first.values("k1") == [{"n": 1, "half": 0.1}, {"n": 4, "half": 0.4}]
        assert first.values("k3") == second.values("k1") == []
    assert list(tmp_path.iterdir()) == []
