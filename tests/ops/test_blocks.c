#include "ops/compose/compose.h"
#include "tests/ops/rig.h"
