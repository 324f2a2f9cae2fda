"""A real Ray cluster on this machine, in a process of its own: one line a command, one an answer.

    python tests/ray_cluster.py 3

starts so many machines of one core each and says {"address"}. `kill K` ends the machine that was
started as number K with all that runs there, `add` starts one more, `head` starts the whole cluster
anew at the same address; each is answered by {}. The cluster ends with stdin.
"""

import json
import os
import sys
import warnings

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: Ray takes 127.0.0.1 for its address
    "RAY_worker_niceness": "0",  # not 15: other tests run beside
}
warnings.simplefilter("ignore")

from ray.cluster_utils import Cluster  # noqa: E402

from bridge.processes import parent_watch  # noqa: E402

NODE = {"num_cpus": 1, "object_store_memory": 2**27, "node_ip_address": "127.0.0.1"}
HEAD = NODE | {"include_dashboard": False}


def main():
    parent_watch.watch()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**fields):
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    count = int(sys.argv[1])
    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    nodes = [cluster.head_node, *(cluster.add_node(**NODE) for _ in range(count - 1))]
    try:
        answer(address=cluster.address)
        for line in sys.stdin:
            match line.split():
                case ["kill", number]:
                    cluster.remove_node(nodes[int(number)], allow_graceful=False)
                case ["add"]:
                    nodes.append(cluster.add_node(**NODE))
                case ["head"]:
                    port = int(cluster.address.rpartition(":")[2])
                    cluster.shutdown()
                    cluster = Cluster(
                        initialize_head=True, head_node_args=HEAD | {"gcs_server_port": port}
                    )
                    nodes = [cluster.head_node]
            answer()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
