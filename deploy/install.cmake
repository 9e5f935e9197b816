# What `cmake --install` puts where; the top-level CMakeLists.txt includes it. deploy/install does that and the rest.
include(GNUInstallDirs)

# All beside each other: the watchdog looks for the services in its own directory.
install(TARGETS holdfast-acquisition holdfast-store holdfast-uplink holdfast-health holdfast-watchdog
                holdfast-collector holdfastctl
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# For editors (the YAML file's schema) and for tools that read the bus without generated code.
install(FILES deploy/holdfast.schema.json ${CMAKE_BINARY_DIR}/messages/holdfast.fds
        DESTINATION ${CMAKE_INSTALL_DATADIR}/holdfast)
install(DIRECTORY messages/holdfast DESTINATION ${CMAKE_INSTALL_DATADIR}/holdfast/messages FILES_MATCHING PATTERN *.proto)
install(DIRECTORY deploy/examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES deploy/systemd/collector.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(PROGRAMS deploy/certificates DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Not below lib/<architecture>.
install(FILES deploy/systemd/holdfast.service deploy/systemd/holdfast-collector.service
        DESTINATION lib/systemd/system)
