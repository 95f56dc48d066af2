"""Who does the jobs of each kind."""

from collections.abc import Mapping

from heliograph.domain import bulk_updates, reports
from heliograph.jobs.bulk_updates import bulk_update
from heliograph.jobs.reports import make_detail_report, make_usage_report
from heliograph.jobs.runner import Handler

HANDLERS: Mapping[str, Handler] = {
    bulk_updates.KIND: bulk_update,
    reports.DETAIL_REPORT: make_detail_report,
    reports.USAGE_REPORT: make_usage_report,
    reports.LEGACY_USAGE_REPORT: make_usage_report,
}
"""By the kind of a job."""
