"""The shape of synchronous clients that store: the plain way, and the insert id as a key against repetitions.

None of them installs from the package index today; this is how `mixpanel_data` stored, in its published source.
"""

from __future__ import annotations

from benchmarks.contenders.rows import main, streamed

if __name__ == "__main__":
    main(streamed, key="PRIMARY KEY", statement="INSERT OR IGNORE")
