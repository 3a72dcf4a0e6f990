"""Drawn people with exact COCO keypoints: scenes to train on, to test with and to show.

Every figure is a 3D skeleton with joint angles within human limits, seen by the scene's camera and
drawn in flat colours: a face, hair, clothes, shoes. Faces, prints, buttons and feet tell front from
back, and with that left from right. A scene is a function of its seed:

    python -m posekit.datasets.synthetic OUT --scenes 2000 --seed 0
"""

from posekit.datasets.synthetic.dataset import main, write_dataset
from posekit.datasets.synthetic.scene import Scene, demo_scene, generate_scene, scene_seed

__all__ = ["Scene", "demo_scene", "generate_scene", "main", "scene_seed", "write_dataset"]
