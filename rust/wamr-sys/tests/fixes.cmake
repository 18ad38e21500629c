# Runs src/wamr_fixes.cmake for tests/fixes.rs, and prints what it sets.
#
# cmake -DFIXES=... -DENGINE=... -DROOT=... -DTO=... -P fixes.cmake
cmake_minimum_required(VERSION 3.20)
# A CMake script has no directory that could be configured again.
function(set_property)
endfunction()
include(${CMAKE_CURRENT_LIST_DIR}/../../../src/wamr_fixes.cmake)
wramp_correct_wamr(${FIXES} ${ENGINE} ${ROOT} ${TO} names originals copies)
set(sources ${ROOT}/first.c ${originals} ${ROOT}/last.c)
wramp_replace_wamr_sources(sources originals copies)
message(STATUS "names ${names}")
message(STATUS "sources ${sources}")
