"""A run whose teacher is a server that is not there: told in half a minute, and nothing is lost."""

import json
import time
from pathlib import Path

import pytest
from aiohttp import web
from pipeline_runs import distill, identities, started, wait_for
from test_generators_openai import answering, fine

from generators.http_client import FIRST_ANSWER_SECONDS

NOBODY = "http://127.0.0.1:9/v1"
RECIPE = """\
name: served
problems: {source: world, count: 8, heldout: 0, shard_size: 2}
teacher: {backend: openai, model: served, chat: true, server: {url: URL}}
completer: {backend: scripted, model: "scripted:empty"}
chains: {per_problem: 1}
"""


def command(place: Path, url: str) -> tuple[str, ...]:
    (place / "recipe.yaml").write_text(RECIPE.replace("URL", url))
    return ("pilot", "recipe.yaml", "--sample", "8")


@pytest.mark.slow
def test_a_server_that_is_down_at_the_start_ends_the_run_early_and_costs_nothing(tmp_path: Path) -> None:
    ran = distill(*command(tmp_path, NOBODY), cwd=tmp_path)
    assert (ran.code, ran.err.count("error: ")) == (2, 1), ran.text
    for words in (NOBODY, "still starting", "server.url", "give the same command again"):
        assert words in ran.err
    assert ran.seconds < 120
    folder, output = tmp_path / "runs" / "served-pilot", tmp_path / "output.txt"

    async def first_shards_only(request: web.Request, number: int) -> web.Response:
        if number > 4 and request.transport:
            request.transport.close()
        return fine("So 3 + 4 = 7.")

    with answering(first_shards_only) as url:
        with started(*command(tmp_path, url), cwd=tmp_path, output=output) as process:
            found = wait_for(lambda: len(list(folder.glob("chains/shard-*"))) == 2, process)
            assert found, output.read_text()
            time.sleep(FIRST_ANSWER_SECONDS + 5)
            assert process.poll() is None, "after the first answer an outage is waited out"
        before = identities(folder, "chains/shard-*")
    again = distill(*command(tmp_path, NOBODY), cwd=tmp_path)
    assert again.code == 2, again.text
    assert "still starting" in again.err
    assert identities(folder, "chains/shard-*") == before
    with answering(lambda request, number: fine("So 3 + 4 = 7.")) as url:
        assert distill(*command(tmp_path, url), cwd=tmp_path).code == 0
    assert before.items() <= identities(folder, "chains/shard-*").items()
    assert json.loads((folder / "chains" / "manifest.json").read_text())["stats"]["shards_before"] == 2
