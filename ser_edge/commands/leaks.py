"""``ser-edge leaks``: what stands on both sides of a partition though it should not."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ser_edge.output import Output, output_options

if TYPE_CHECKING:
    from ser_edge_train.leaks import Audit, Leak

REPAIR = "divide the clips anew, as by a protocol of: ser-edge train"


@click.command(
    "leaks",
    epilog="""\b
Examples:
  ser-edge leaks manifest.csv runs/first/partition.csv
  ser-edge leaks manifest.csv split.csv --sentences
  ser-edge leaks manifest.csv split.csv --json

MANIFEST is what `ser-edge scan` wrote of the recordings. PARTITION is a CSV with the columns
corpus, stem and part (train, validation, test), whoever made it; audio_sha256 and copy, the
number of an augmented copy, may stand there too. Faults are a speaker in two parts, equal
audio under two names, and a recording with augmented copies of it, told by the column copy or
by a name such as clip_noise. Sentences in two parts are counted.

Exit code 1 when something leaks, or when the manifest lacks clips of the partition.""",
)
@click.argument("manifest", metavar="MANIFEST")
@click.argument("partition", metavar="PARTITION")
@click.option("--sentences", is_flag=True, help="A sentence in two parts is a fault too.")
@output_options()
def command(manifest: str, partition: str, sentences: bool, output: Output) -> int:
    """Find what leaks between the parts of a partition.

    Speakers, equal audio and augmented copies on both sides make scores too good; sentences on
    both sides are named.
    """
    from ser_edge_train.leaks import audit, forbidden
    from ser_edge_train.manifest import Manifest
    from ser_edge_train.partitions import Partition

    found = audit(Manifest.read(manifest), Partition.read(partition))
    faults = list(forbidden(found.leaks))
    if sentences:
        faults += [leak for leak in found.leaks if leak.kind == "sentence"]
    _print(found, faults, output)
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        first = f"{faults[0].text} (first: {faults[0].examples[0]})"
        output.error(f"{partition}: leaks: {first}{more}; {REPAIR}")
    if found.missing:
        output.error(
            f"{partition}: not in the manifest: {len(found.missing)} (first: {found.missing[0]}), "
            "so nothing is known of them; scan their folder too"
        )
    clean = not faults and not found.missing
    if clean:
        output.text(_verdict(sentences))
    output.record(
        {
            "manifest": manifest,
            "partition": partition,
            "clips": dict(found.rows),
            "speakers": dict(found.speakers),
            "missing": list(found.missing),
            "unnamed": found.unnamed,
            "unspoken": found.unspoken,
            "faulted": dict(found.faulted),
            "changed": list(found.changed),
            "clean": clean,
        }
    )
    return output.exit_code


def _print(found: Audit, faults: list[Leak], output: Output) -> None:
    from ser_edge_train.leaks import KINDS
    from ser_edge_train.partitions import PARTS

    sizes = (f"{part} {found.rows.get(part, 0)} of {found.speakers[part]}" for part in PARTS)
    output.text(f"clips and speakers: {', '.join(sizes)}")
    for kind in KINDS:
        leaks = [leak for leak in found.leaks if leak.kind == kind]
        if not leaks:
            output.text(f"{kind:<10} none in two parts")
        for leak in leaks:
            more = ", ..." if leak.count > len(leak.examples) else ""
            word = "LEAK: " if leak in faults else ""
            line = f"{kind:<10} {word}{leak.text}: {', '.join(leak.examples)}{more}"
            output.record({**asdict(leak), "fault": leak in faults}, line)
    for count, what in (
        (found.unnamed, "of which nobody knows the speaker: nothing is proved of them"),
        (found.unspoken, "of which nobody knows the sentence"),
        (
            sum(found.faulted.values()),
            f"with a fault ({', '.join(found.faulted)}), which training leaves out",
        ),
        (len(found.changed), "with other audio than the partition says"),
    ):
        if count:
            output.note(f"{count} {'clip' if count == 1 else 'clips'} {what}")


def _verdict(sentences: bool) -> str:
    things = ["no speaker", "no equal audio", "no augmented copy"]
    things += ["no sentence"] if sentences else []
    return f"clean: {', '.join(things)} in two parts"
