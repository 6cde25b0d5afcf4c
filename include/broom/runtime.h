/* broom/runtime.h - everything for language runtimes: each header is a chapter. */
#ifndef BROOM_RUNTIME_H
#define BROOM_RUNTIME_H

#include <broom.h>
#include <broom/arena.h>
#include <broom/event.h>
#include <broom/finalizer.h>
#include <broom/kind.h>
#include <broom/limit.h>
#include <broom/stack.h>
#include <broom/weak.h>

#endif
