import subprocess
import sys

from radlatent import imaging


def test_importing_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys, radlatent.imaging\n"
        "print(sorted({'torch', 'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_table_of_contents_names_every_public_name():
    assert [name for name in imaging.__all__ if name not in imaging.__doc__] == []
