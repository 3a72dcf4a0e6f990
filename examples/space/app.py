"""The page of `posekit app` as a Space of the Hugging Face Hub."""

from posekit.app.run import serve

serve(
    host="0.0.0.0",  # the Space's own proxy stands before it
    port=7860,
    models=["demo", "human", "wholebody", "hand", "face", "animal", "rtmo-s", "human3d"],
    max_upload_mb=50,
    max_seconds=120,
    keep_minutes=15,
)
