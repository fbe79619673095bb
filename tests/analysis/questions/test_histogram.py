import pandas as pd

from relift.analysis import accuracy_histogram
from tests.analysis.frames import trajectories


def test_never_and_always_have_bars_of_their_own() -> None:
    # of 8: 0 never; 1/8 is the second of eight parts [1/8, 2/8); 4/8 the fifth; 8 always; draw 1 does not count
    frame = pd.concat(
        [trajectories([0, 1, 4, 8]), trajectories([8, 8, 8, 8], draw=1), trajectories([8, 8, 0, 0], step=5)]
    )
    found = accuracy_histogram(frame)
    assert found[found["step"] == 0]["count"].tolist() == [1, 0, 1, 0, 0, 1, 0, 0, 0, 1]
    after = found[found["step"] == 5].set_index("bar")["count"]
    assert after["never"] == 2 and after["always"] == 2 and after.sum() == 4
