// The store's peers: its ROUTERs ingest and dispatch. Frame 0 is who, frame 1 the header, which is recorded.

#include "tests/crash/recorder.hpp"

using namespace holdfast::crash;

extern "C" {

struct zmq_msg_t;
int zmq_bind(void* socket, const char* endpoint);
int zmq_msg_send(zmq_msg_t* m, void* socket, int flags);
int zmq_msg_recv(zmq_msg_t* m, void* socket, int flags);
void* zmq_msg_data(zmq_msg_t* m);
size_t zmq_msg_size(const zmq_msg_t* m);
int zmq_msg_more(const zmq_msg_t* m);

int zmq_bind(void* socket, const char* endpoint) {
  auto& r = it();
  guard lock(r.mutex);
  for (const char* known : {"store.ingest", "store.dispatch"})
    if (r.active() && std::strstr(endpoint, known) != nullptr)
      r.endpoints[socket] = known;
  return NEXT(zmq_bind)(socket, endpoint);
}

int zmq_msg_send(zmq_msg_t* m, void* socket, int flags) {
  auto& r = it();
  guard lock(r.mutex);
  const auto endpoint = r.endpoints.find(socket);
  if (!r.active() || endpoint == r.endpoints.end())
    return NEXT(zmq_msg_send)(m, socket, flags);
  auto& frame = r.frame_sent[socket];
  if (frame == 1)
    r.put(kind::sent, 0, 0, endpoint->second,
          {static_cast<const char*>(NEXT(zmq_msg_data)(m)), NEXT(zmq_msg_size)(m)});
  const bool more = (flags & 2) != 0;  // ZMQ_SNDMORE
  const int rc = NEXT(zmq_msg_send)(m, socket, flags);
  if (rc >= 0)
    frame = more ? frame + 1 : 0;
  return rc;
}

int zmq_msg_recv(zmq_msg_t* m, void* socket, int flags) {
  auto& r = it();
  const int rc = NEXT(zmq_msg_recv)(m, socket, flags);
  if (rc < 0 || !r.active())
    return rc;
  guard lock(r.mutex);
  const auto endpoint = r.endpoints.find(socket);
  if (endpoint == r.endpoints.end())
    return rc;
  auto& frame = r.frame_received[socket];
  if (frame == 1)
    r.put(kind::received, 0, 0, endpoint->second,
          {static_cast<const char*>(NEXT(zmq_msg_data)(m)), static_cast<std::size_t>(rc)});
  frame = NEXT(zmq_msg_more)(m) != 0 ? frame + 1 : 0;
  return rc;
}

}  // extern "C"
