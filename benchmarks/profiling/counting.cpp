// Switches callgrind's counting on and off from Python, through ctypes. Outside valgrind both do nothing.
//
// The requests are instructions that valgrind knows, which no tool and no signal can give with such precision.

#include <valgrind/callgrind.h>

extern "C" {

void begin_counting() {
    CALLGRIND_START_INSTRUMENTATION;
}

void end_counting() {
    CALLGRIND_STOP_INSTRUMENTATION;
}
}
