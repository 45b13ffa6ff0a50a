# SPDX-License-Identifier: MIT
#
# How tracez's targets are made: libraries in a static and a shared form, warnings that stay ours.

# Warnings are private: they are no business of who links us.
function(tracez_set_warnings target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wpointer-arith -Wwrite-strings)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
endfunction()

function(tracez_configure_library target arg_OUTPUT)
  tracez_set_warnings(${target})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${arg_OUTPUT} VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
endfunction()

# tracez_add_library(<target> OUTPUT <file name> ALIAS <short> SOURCES … HEADERS … LINK_PUBLIC … LINK_PRIVATE …)
# makes <target> (static, alias tracez::<short>) and <target>_shared, with the public headers below include/.
function(tracez_add_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT;ALIAS" "SOURCES;HEADERS;LINK_PUBLIC;LINK_PRIVATE")
  list(TRANSFORM arg_HEADERS PREPEND include/)
  foreach(kind STATIC SHARED)
    set(name ${target})
    if(kind STREQUAL SHARED)
      set(name ${target}_shared)
    endif()
    add_library(${name} ${kind} ${arg_SOURCES})
    target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${arg_HEADERS})
    target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    foreach(link IN LISTS arg_LINK_PUBLIC)
      if(kind STREQUAL SHARED AND TARGET ${link}_shared)
        set(link ${link}_shared)
      endif()
      target_link_libraries(${name} PUBLIC ${link})
    endforeach()
    target_link_libraries(${name} PRIVATE ${arg_LINK_PRIVATE})
    tracez_configure_library(${name} ${arg_OUTPUT})
  endforeach()
  set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  add_library(tracez::${arg_ALIAS} ALIAS ${target})
  add_library(tracez::${arg_ALIAS}_shared ALIAS ${target}_shared)
endfunction()

# tracez_add_executable(<target> SOURCES … LINK …)
function(tracez_add_executable target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE ${arg_LINK})
  tracez_set_warnings(${target})
endfunction()
