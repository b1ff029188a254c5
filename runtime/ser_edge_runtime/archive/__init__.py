"""Very many recordings: work spread over processes or a cluster, results that survive a kill.

``answers`` says what is done with one recording, ``order`` in which order answers come out,
``processes`` and ``cluster`` where they are computed, ``json_lines`` and ``parquet`` where
they are kept, ``job`` what a kept archive was made with.
"""
