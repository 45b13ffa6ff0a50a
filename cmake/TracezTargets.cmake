# SPDX-License-Identifier: MIT
#
# How tracez's targets are made: libraries in a static and a shared form, programs, warnings that stay ours.

set(TRACEZ_SYMBOL_MAP "${CMAKE_CURRENT_LIST_DIR}/tracez.map")

# Private, and by a function instead of CMAKE_C_FLAGS: they are no business of who links us.
function(tracez_set_warnings target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith
    -Wwrite-strings -Wformat=2 -Wundef)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
endfunction()

# What is the same for a library's static and shared form.
function(tracez_configure_library target output export_name headers)
  tracez_set_warnings(${target})
  # Public functions call each other directly: nobody replaces one of them from outside.
  target_compile_options(${target} PRIVATE -fno-semantic-interposition)
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${headers})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  if(NOT TRACEZ_PROBES)
    target_compile_definitions(${target} PRIVATE TRACEZ_WITHOUT_PROBES)
  endif()
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${output}
    EXPORT_NAME ${export_name}
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    VERIFY_INTERFACE_HEADER_SETS ON)
  if(CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_INTERPROCEDURAL_OPTIMIZATION)
    # An installed archive must hold machine code too: not everybody's linker is this compiler's.
    target_compile_options(${target} PRIVATE -ffat-lto-objects)
  endif()
endfunction()

# tracez_add_library(<target> OUTPUT <file name> ALIAS <short> SOURCES … HEADERS … LINK_PUBLIC … LINK_PRIVATE …)
# makes <target> (static, tracez::<short>) and <target>_shared (tracez::<short>_shared). HEADERS are the public ones,
# relative to include/. A library of ours among the linked ones is taken in the same form.
function(tracez_add_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT;ALIAS" "SOURCES;HEADERS;LINK_PUBLIC;LINK_PRIVATE")
  list(TRANSFORM arg_HEADERS PREPEND include/)
  add_library(${target} STATIC ${arg_SOURCES})
  add_library(${target}_shared SHARED ${arg_SOURCES})
  foreach(form IN ITEMS "" "_shared")
    tracez_configure_library(${target}${form} ${arg_OUTPUT} ${arg_ALIAS}${form} "${arg_HEADERS}")
    foreach(visibility IN ITEMS PUBLIC PRIVATE)
      foreach(link IN LISTS arg_LINK_${visibility})
        if(TARGET ${link}${form})
          set(link ${link}${form})
        endif()
        target_link_libraries(${target}${form} ${visibility} ${link})
      endforeach()
    endforeach()
    add_library(tracez::${arg_ALIAS}${form} ALIAS ${target}${form})
  endforeach()
  set_target_properties(${target}_shared PROPERTIES C_CLANG_TIDY "") # has seen these sources
  target_link_options(${target}_shared PRIVATE "LINKER:--version-script=${TRACEZ_SYMBOL_MAP}")
  set_property(TARGET ${target}_shared APPEND PROPERTY LINK_DEPENDS ${TRACEZ_SYMBOL_MAP})
endfunction()

# tracez_add_executable(<target> SOURCES … LINK …)
function(tracez_add_executable target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE ${arg_LINK})
  tracez_set_warnings(${target})
endfunction()
