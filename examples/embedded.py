"""livejobs inside your own program, without a server or HTTP.

python examples/embedded.py
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from livejobs import LiveJobs, Settings


async def main() -> None:
    settings = Settings(data=Path("livejobs-data"))
    async with LiveJobs(settings) as live:
        job = await live.create(title="Nightly export", total=3, unit="tables")
        for table in ("users", "orders", "events"):
            await job.log(f"exporting {table}")
            await job.result({"table": table})
            await job.progress(advance=1, message=table)
        await job.succeed()

        state = await job.state()
        print(state["status"], f"{state['progress']['percent']} %")
        async for records in live.logs(await live.find(job.id)):
            for record in records:
                print(bytes(record.entry.value).decode())


if __name__ == "__main__":
    asyncio.run(main())
