"""TVM's own RPC server, without our functions."""

import argparse
import time

from tvm.rpc.server import PopenRPCServerState

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--name")
options = parser.parse_args()
PopenRPCServerState("127.0.0.1", options.port, options.port + 1)
print("listening on", options.port, flush=True)
time.sleep(600)
