# Corrects known faults of WAMR, in copies of its files.
#
# Who reads this: zephyr.cmake and CMakeLists.txt. rust/wamr-sys/build/fixes.rs does the same
# on a host, and its test compares the two. A description contains the checksum of the
# corrected copy. Both builds compare it, so both compile the same bytes.

# Applies the corrections for the interpreter `engine` to WAMR's source in `root`. Sets `names`
# to the names for the record, joined by +, with `unlisted` for a source that is in no
# description, or to `none`. Sets `originals` to the faulty files, and `copies` to their
# corrected copies, which it writes below the directory `to`. Corrections of the same file follow
# each other: the second one lists the checksum of the file that the first one corrected.
function(wramp_correct_wamr fixes engine root to names originals copies)
  set(done "")
  set(wrong "")
  set(written "")
  set(files "")
  file(GLOB descriptions ${fixes}/*.txt)
  list(SORT descriptions)
  foreach(description ${descriptions})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${description})
    get_filename_component(name ${description} NAME_WE)
    # Not file(STRINGS), which joins a line that ends in a backslash to the next one.
    file(READ ${description} text)
    foreach(word interpreter file after insert)
      if(NOT "${text}" MATCHES "\n${word} ([^\n]+)\n")
        message(FATAL_ERROR "wramp: ${description}: the line `${word}` is missing")
      endif()
      set(${word} "${CMAKE_MATCH_1}")
    endforeach()
    if(NOT interpreter MATCHES "^(${engine}|both)$")
      continue()
    endif()

    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${root}/${file})
    file(SHA256 ${root}/${file} checksum)
    if(file IN_LIST files)
      set(checksum ${checksum_${file}})
    endif()
    if(NOT "${text}" MATCHES "\nfaulty ${checksum} ([0-9a-f]+) [^\n]+\n")
      message(WARNING
        "wramp: ${root}/${file} is not in src/wamr_fixes/${name}.txt, so it is not known "
        "whether this WAMR has the fault ${name} (docs/engine-faults.md) and nothing was "
        "corrected. The engine tests itself when it starts. WAMR 2.4.5 and the package "
        "wamrx-sys 0.3.0 are known")
      list(APPEND done unlisted)
      continue()
    endif()
    set(expected ${CMAKE_MATCH_1})
    if(file IN_LIST files)
      set(source "${source_${file}}")
    else()
      file(READ ${root}/${file} source)
    endif()
    string(FIND "${source}" "${after}\n" first)
    string(FIND "${source}" "${after}\n" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
      message(FATAL_ERROR
        "wramp: correction ${name}: ${file} does not have `${after}` exactly once")
    endif()
    string(REPLACE "${after}\n" "${after}\n${insert}\n" source "${source}")
    string(SHA256 checksum "${source}")
    if(NOT checksum STREQUAL expected)
      message(FATAL_ERROR "wramp: correction ${name}: the corrected ${file} has SHA-256 ${checksum}")
    endif()
    list(APPEND done ${name})
    if(NOT file IN_LIST files)
      list(APPEND files ${file})
    endif()
    set(source_${file} "${source}")
    set(checksum_${file} ${checksum})
  endforeach()
  foreach(file ${files})
    # Keep a copy that is right, because a file that is written again is compiled again.
    set(copy ${to}/${file})
    set(present "")
    if(EXISTS ${copy})
      file(SHA256 ${copy} present)
    endif()
    if(NOT present STREQUAL "${checksum_${file}}")
      file(WRITE ${copy} "${source_${file}}")
    endif()
    list(APPEND wrong ${root}/${file})
    list(APPEND written ${copy})
  endforeach()
  list(REMOVE_DUPLICATES done)
  if(NOT done)
    set(done none)
  endif()
  list(JOIN done + done)
  set(${names} ${done} PARENT_SCOPE)
  set(${originals} ${wrong} PARENT_SCOPE)
  set(${copies} ${written} PARENT_SCOPE)
endfunction()

# Replaces the originals in a list of sources by the corrected copies. The arguments are names
# of lists.
function(wramp_replace_wamr_sources sources_name originals_name copies_name)
  set(replaced ${${sources_name}})
  foreach(original copy IN ZIP_LISTS ${originals_name} ${copies_name})
    list(FIND replaced ${original} place)
    if(place EQUAL -1)
      message(FATAL_ERROR
        "wramp: WAMR's sources have no ${original}, so its corrected copy would not be "
        "compiled. Correct `file` in src/wamr_fixes")
    endif()
    list(REMOVE_AT replaced ${place})
    list(INSERT replaced ${place} ${copy})
  endforeach()
  set(${sources_name} ${replaced} PARENT_SCOPE)
endfunction()
