"""Writes chats.jsonl (conversations) and pairs.jsonl (preferences) of this example, always the same."""

import json
from pathlib import Path

from suite import rows

SHORT = "{topic} are simple things that people like."
LONG = (
    "There is a great deal to say about {topic}, and I will try to say all of it, one thing after the other, although "
    "much of it is known to everybody and the rest is hard to check, so please be patient while I go on and on"
)


def main(folder: Path = Path(__file__).parent) -> None:
    """Write both files."""
    prompts = [row["prompt"] for row in rows("train", "example", 200)]
    chats, pairs = [], []
    for prompt in prompts:
        topic = prompt.split()[-2 if prompt.endswith(("winter.", "sea.", "night.")) else -4]
        short, long = SHORT.format(topic=topic.capitalize()), LONG.format(topic=topic)
        system = {"role": "system", "content": "Answer in one short sentence."}
        user, answer = {"role": "user", "content": prompt}, {"role": "assistant", "content": short}
        again = [{"role": "user", "content": "Thanks."}, {"role": "assistant", "content": "You are welcome."}]
        chats.append({"messages": [system, user, answer, *again]})
        pairs.append({"prompt": prompt, "chosen": short, "rejected": long})
    for name, lines in (("chats", chats), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
