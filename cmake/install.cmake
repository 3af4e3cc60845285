# What C++ users get, component cpp: the contract's headers, one static library per instruction set, and the package
# that find_package(fastrnn) reads. Python wheels install the component python only and hold none of it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fastrnn)
set(built_instruction_sets "")  # the least demanding first, in whatever order they were asked for
set(flags_of_instruction_sets "")
foreach(isa IN LISTS known_instruction_sets)
  if(NOT isa IN_LIST instruction_sets)
    continue()
  endif()
  list(APPEND built_instruction_sets ${isa})
  string(APPEND flags_of_instruction_sets "set(fastrnn_flags_${isa} \"${flags_${isa}}\")\n")
  set_target_properties(fastrnn_${isa} PROPERTIES
    EXPORT_NAME ${isa}
    # CMake refuses two libraries whose values differ in one program: the linker would quietly take symbols of either.
    INTERFACE_FASTRNN_ISA ${isa}
    COMPATIBLE_INTERFACE_STRING FASTRNN_ISA)
  target_compile_features(fastrnn_${isa} INTERFACE cxx_std_17)
  install(TARGETS fastrnn_${isa} EXPORT fastrnn_targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT cpp
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endforeach()

install(DIRECTORY cpp/include/fastrnn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT cpp FILES_MATCHING PATTERN *.h)
install(FILES LICENSE THIRD_PARTY_NOTICES.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT cpp)
install(EXPORT fastrnn_targets NAMESPACE fastrnn:: FILE fastrnn_targets.cmake DESTINATION ${package_dir} COMPONENT cpp)
configure_file(cmake/fastrnn-config.cmake.in cmake/fastrnn-config.cmake @ONLY)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/cmake/fastrnn-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/cmake/fastrnn-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/cmake/fastrnn-config-version.cmake
  DESTINATION ${package_dir} COMPONENT cpp)
