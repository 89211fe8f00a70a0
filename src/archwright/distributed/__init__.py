"""NAS's distributed scheme on a Ray cluster: controller replicas, their children, and a sharded parameter server."""
