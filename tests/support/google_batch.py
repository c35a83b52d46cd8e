"""Snakemake with a client of Google Batch that writes jobs to the file $CREATED_JOBS and lets each fail."""

import os
import sys

RECORDER = [sys.executable, "-m", "tests.support.google_batch"]


class Client:
    """In place of google.cloud.batch_v1.BatchServiceClient, which needs credentials to be made."""

    def create_job(self, request):
        from google.cloud import batch_v1

        line = batch_v1.Job.to_json(request.job, indent=None, use_integers_for_enums=False)
        with open(os.environ["CREATED_JOBS"], "a") as file:
            file.write(line + "\n")
        return batch_v1.Job(name=request.job_id, uid=request.job_id)

    def get_job(self, request):
        from google.cloud import batch_v1

        return batch_v1.Job(name=request.name, status={"state": batch_v1.JobStatus.State.FAILED})


def main() -> None:
    from google.cloud import batch_v1
    from snakemake_executor_plugin_googlebatch.executor import GoogleBatchExecutor

    batch_v1.BatchServiceClient = Client
    GoogleBatchExecutor.save_finished_job_logs = lambda self, job, **options: None
    from snakemake.cli import main

    main()


if __name__ == "__main__":
    main()
