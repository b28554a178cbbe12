"""What holds for all tests."""

import signal

# A shell that runs the tests behind ``&`` in a script ignores SIGINT for them and for all they start;
# the tests of Ctrl-C want what a terminal gives.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
