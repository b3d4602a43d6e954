"""From a converted network to milliseconds: kernels, builds, runners, boards, measurements."""
