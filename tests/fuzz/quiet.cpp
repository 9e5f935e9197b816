// Protobuf says on standard error what it does not understand; the services keep it silent, and so do the targets.

#include <google/protobuf/stubs/common.h>
#include <google/protobuf/stubs/logging.h>

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}
