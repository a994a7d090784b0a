"""Steps recorded by hand: what happened elsewhere, recorded afterwards.

Needs ``FAILPATH_PROJECT_KEY``; ``FAILPATH_DEV_ENDPOINT`` points it at a receiver of your own.
"""

from datetime import datetime, timedelta, timezone

import failpath_otel

failpath = failpath_otel.configure()
now = datetime.now(timezone.utc)

# A courier's webhook says that a parcel is on its way, and later that it has arrived.
failpath.record_step(
    flow_key="delivery", run_id="parcel-4", step_key="ship", status="running", timestamp=now - timedelta(hours=2)
)
failpath.record_step(flow_key="delivery", run_id="parcel-4", step_key="ship", status="success", timestamp=now)

# Work that is over, with both of its times.
failpath.record_step(
    flow_key="delivery",
    run_id="parcel-4",
    step_key="collect-signature",
    status="error",
    error={"name": "NobodyHome", "message": "the door stayed closed"},
    started_at=now - timedelta(minutes=5),
    timestamp=now,
    metadata={"courier": "bike-7"},
)

delivered = failpath.flush(timeout=5.0)
print("Delivered." if delivered else f"Not delivered: {failpath.stats()}")
