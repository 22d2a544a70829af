// CUDA graphs for diffusion/src/graph.rs, which tch does not bind.
//
// Every function returns null, or what went wrong as a string that is valid until the thread's next call.
// Nothing is linked: all symbols are found in the libtorch with CUDA that the process has loaded before.

#include <exception>
#include <memory>
#include <string>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace {

struct Graph {
  explicit Graph(c10::DeviceIndex index)
      : device(index), own(c10::cuda::getStreamFromPool(false, index)), outside(own) {}

  c10::DeviceIndex device;
  // Work cannot be recorded on the default stream.
  c10::cuda::CUDAStream own;
  // What was current before `enter`.
  c10::cuda::CUDAStream outside;
  at::cuda::CUDAGraph graph;
};

template <typename Work>
const char* guarded(Work&& work) noexcept {
  thread_local std::string message;
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
  } catch (...) {
    message = "an error without a message";
  }
  return message.c_str();
}

}  // namespace

extern "C" {

// A graph that nothing was recorded into yet.
const char* reverie_graph_new(int device, Graph** graph) {
  return guarded([&] { *graph = new Graph(static_cast<c10::DeviceIndex>(device)); });
}

// Makes the graph's own stream current on this thread, after all work that was given to the device before.
const char* reverie_graph_enter(Graph* graph) {
  return guarded([&] {
    c10::cuda::CUDAGuard guard(graph->device);
    c10::cuda::device_synchronize();
    graph->outside = c10::cuda::getCurrentCUDAStream(graph->device);
    c10::cuda::setCurrentCUDAStream(graph->own);
  });
}

// Makes the stream current that was so before `enter`, after all work on the graph's own.
const char* reverie_graph_leave(Graph* graph) {
  return guarded([&] {
    c10::cuda::CUDAGuard guard(graph->device);
    c10::cuda::setCurrentCUDAStream(graph->outside);
    c10::cuda::device_synchronize();
  });
}

// From here on work of this thread is recorded instead of done. Other threads may go on using the device.
const char* reverie_graph_begin(Graph* graph) {
  return guarded([&] { graph->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal); });
}

// Ends the recording.
const char* reverie_graph_end(Graph* graph) {
  return guarded([&] { graph->graph.capture_end(); });
}

// Does what was recorded, on the current stream. Returns before it is done.
const char* reverie_graph_replay(Graph* graph) {
  return guarded([&] { graph->graph.replay(); });
}

// Frees the graph and the memory of the tensors that were made in it.
const char* reverie_graph_drop(Graph* graph) {
  return guarded([&] { delete graph; });
}

}  // extern "C"
