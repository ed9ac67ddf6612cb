"""What synchronous clients with a database do: the plain way, with the insert id as a primary key against duplicates.

None of these clients is on the package index today. This is what the published source of `mixpanel_data` does.
"""

from __future__ import annotations

from benchmarks.contenders.rows import main, streamed

if __name__ == "__main__":
    main(streamed, key="PRIMARY KEY", statement="INSERT OR IGNORE")
