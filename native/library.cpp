// The library's entry point.

#include "cpu_features.h"
#include "kernel.h"
#include "operators.h"

#if defined(_WIN32)
#define WORDTELL_EXPORT __declspec(dllexport)
#else
#define WORDTELL_EXPORT __attribute__((visibility("default")))
#endif

// Called by a session that is told of this library. An error refuses the library, not the process.
extern "C" WORDTELL_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(kApiVersion);
  if (api == nullptr) {
    // Without the table of our version only the first slots are sure: version 1 has CreateStatus.
    const OrtApi* first = base->GetApi(1);
    return first == nullptr ? nullptr
                            : first->get<CreateStatus>()(OrtErrorCode::fail, "needs ONNX Runtime 1.17 or newer");
  }
  return wordtell::guarded(*api, [&] {
    // The runtime keeps pointers to the domain and its operators for as long as any session lives: for ever.
    static OrtCustomOpDomain* const domain = [&] {
      OrtCustomOpDomain* made = nullptr;
      wordtell::check(*api, api->get<CreateCustomOpDomain>()("wordtell", &made));
      for (const OrtCustomOp* op :
           {wordtell::attention(), wordtell::disentangled_attention(), wordtell::quantized_linear(),
            wordtell::add_layer_norm()}) {
        wordtell::check(*api, api->get<CustomOpDomainAdd>()(made, op));
      }
      return made;
    }();
    wordtell::check(*api, api->get<AddCustomOpDomain>()(options, domain));
  });
}

// The instruction set whose kernels run in this process: scores of one model differ slightly between some of them.
extern "C" WORDTELL_EXPORT const char* wordtell_isa() { return wordtell::name(wordtell::best_isa()); }
