# SPDX-License-Identifier: MIT
#
# Installing: libraries, public headers, a man page for each header, a pkg-config file for each library and one CMake
# package for all of them. Everything is found relative to where these files lie, so the tree may be moved. (The
# nginx module installs itself: see nginx_module/.)

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tracez")
set(pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# <tracez/tracez.h> is described in tracez(3), <tracez/mhd.h> in tracez_mhd(3): each page goes with its header.
function(tracez_install_man_pages target)
  get_target_property(headers ${target} HEADER_SET)
  foreach(header IN LISTS headers)
    get_filename_component(noun ${header} NAME_WE)
    string(REGEX REPLACE "^tracez_tracez$" "tracez" page "tracez_${noun}")
    install(FILES docs/man/${page}.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
  endforeach()
endfunction()

# tracez_install_library(<target> DESCRIPTION <text> [EXPORT <set>] [LIBS_PRIVATE <flags>] [REQUIRES <modules>]
#                        [REQUIRES_PRIVATE <modules>])
function(tracez_install_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DESCRIPTION;EXPORT;LIBS_PRIVATE;REQUIRES;REQUIRES_PRIVATE" "")
  if(NOT arg_EXPORT)
    set(arg_EXPORT tracez)
  endif()
  install(TARGETS ${target} ${target}_shared EXPORT ${arg_EXPORT}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  tracez_install_man_pages(${target})

  get_target_property(arg_NAME ${target} OUTPUT_NAME)
  file(RELATIVE_PATH arg_TO_PREFIX "/${pkgconfig_dir}" "/")
  string(REGEX REPLACE "/$" "" arg_TO_PREFIX "${arg_TO_PREFIX}")
  configure_file(cmake/library.pc.in ${arg_NAME}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${arg_NAME}.pc DESTINATION ${pkgconfig_dir})
endfunction()

tracez_install_library(tracez_core
  DESCRIPTION "HTTP tracing for C servers: spans, samplers, bounded collectors"
  LIBS_PRIVATE "-pthread")
tracez_install_library(tracez_exporter
  DESCRIPTION "Sends tracez spans to a tracing backend from a background thread"
  REQUIRES "tracez = ${PROJECT_VERSION}, libcurl"
  REQUIRES_PRIVATE "zlib, jansson")

# A set of its own, so that who has no libmicrohttpd can use the rest.
if(TARGET tracez_mhd)
  tracez_install_library(tracez_mhd
    DESCRIPTION "HTTP tracing for applications of libmicrohttpd"
    EXPORT tracezMhd
    REQUIRES "tracez = ${PROJECT_VERSION}, libmicrohttpd >= 0.9.75")
  install(EXPORT tracezMhd NAMESPACE tracez:: FILE tracezMhdTargets.cmake DESTINATION ${package_dir})
endif()

if(TARGET tracez_profiling)
  tracez_install_library(tracez_profiling
    DESCRIPTION "CPU profiles of a program that runs, over HTTP, for pprof"
    EXPORT tracezProfiling
    REQUIRES "tracez = ${PROJECT_VERSION}"
    REQUIRES_PRIVATE "libmicrohttpd >= 0.9.75, libprofiler")
  install(EXPORT tracezProfiling NAMESPACE tracez:: FILE tracezProfilingTargets.cmake DESTINATION ${package_dir})
endif()

install(EXPORT tracez NAMESPACE tracez:: FILE tracezTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(cmake/tracezConfig.cmake.in tracezConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(tracezConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tracezConfig.cmake ${PROJECT_BINARY_DIR}/tracezConfigVersion.cmake
  DESTINATION ${package_dir})
