#include "services/ctl/ctl.hpp"

int main(int argc, char** argv) { return holdfast::ctl::run(argc, argv); }
