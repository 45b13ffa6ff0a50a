# SPDX-License-Identifier: MIT
#
# The install test, step by step; see CMakeLists.txt for its variables. Each step must succeed.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  list(JOIN ARGN " " command)
  message(STATUS "${command}\n${output}")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed with ${status}: ${command}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# ---- Install, and move --------------------------------------------------------------------------------------

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/prefix)
set(prefix ${WORK}/prefix)

file(GLOB_RECURSE headers RELATIVE ${prefix}/include ${prefix}/include/*)
list(SORT headers)
set(expected tracez/curl.h tracez/environment.h tracez/exporter.h tracez/http.h tracez/keys.h tracez/preset.h
  tracez/reader.h tracez/sampler.h tracez/tracez.h)
if(MHD)
  list(APPEND expected tracez/mhd.h)
endif()
list(SORT expected)
if(NOT "${headers}" STREQUAL "${expected}")
  message(FATAL_ERROR "not exactly the public headers: ${headers}")
endif()
list(TRANSFORM expected REPLACE "^tracez/(.*)[.]h$" "man3/tracez_\\1.3")
list(TRANSFORM expected REPLACE "tracez_tracez" "tracez")
list(SORT expected)
file(GLOB_RECURSE pages RELATIVE ${prefix}/${MANDIR} ${prefix}/${MANDIR}/*)
list(SORT pages)
if(NOT "${pages}" STREQUAL "${expected}")
  message(FATAL_ERROR "not a man page for each header: ${pages}")
endif()
file(GLOB_RECURSE texts ${prefix}/*.pc ${prefix}/*.cmake)
foreach(text IN LISTS texts)
  file(STRINGS ${text} lines)
  if("${lines}" MATCHES "${WORK}")
    message(FATAL_ERROR "${text} names the place where it was installed first")
  endif()
endforeach()

# ---- pkg-config ---------------------------------------------------------------------------------------------

set(ENV{PKG_CONFIG_PATH} ${prefix}/${LIBDIR}/pkgconfig)
set(ENV{LD_LIBRARY_PATH} ${prefix}/${LIBDIR})
separate_arguments(FLAGS)

set(modules tracez tracez-exporter)
if(MHD)
  list(APPEND modules tracez-mhd)
endif()
foreach(module IN LISTS modules)
  run(pkg-config --modversion ${module})
  if(NOT output STREQUAL VERSION)
    message(FATAL_ERROR "${module} says ${output}, not ${VERSION}")
  endif()
endforeach()
run(pkg-config --cflags --libs tracez-exporter)
separate_arguments(shared UNIX_COMMAND "${output}")
run(${CC} ${FLAGS} -std=c11 -Wall -Wextra -Werror ${STRANGER}/spans.c -o ${WORK}/spans ${shared})
run(${WORK}/spans)
if(MHD)
  run(pkg-config --cflags --libs tracez-mhd)
  separate_arguments(shared UNIX_COMMAND "${output}")
  run(${CC} ${FLAGS} -std=c11 -Wall -Wextra -Werror ${STRANGER}/server.c -o ${WORK}/server ${shared})
  run(${WORK}/server)
endif()

# ---- CMake --------------------------------------------------------------------------------------------------

if(NOT CXX)
  set(without_cxx -DWITHOUT_CXX=ON)
endif()
list(JOIN FLAGS " " flags)
run(${CMAKE_COMMAND} -S ${STRANGER} -B ${WORK}/build -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_C_COMPILER=${CC}
  -DCMAKE_CXX_COMPILER=${CXX} "-DCMAKE_C_FLAGS=${flags}" "-DCMAKE_CXX_FLAGS=${flags}" -DVERSION=${VERSION}
  -DMHD=${MHD} ${without_cxx})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/spans_shared)
unset(ENV{LD_LIBRARY_PATH})
run(${WORK}/build/spans_static)
if(MHD)
  run(${WORK}/build/server)
endif()
if(CXX)
  run(${WORK}/build/headers)
else()
  message(STATUS "no C++ compiler: the headers were not read as C++")
endif()
