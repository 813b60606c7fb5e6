// The list of cells: one line each.
#pragma once

#include "cells/gru.hpp"
#include "cells/gru_reset_before.hpp"
#include "cells/lstm.hpp"
#include "cells/rnn.hpp"

namespace pyrnn::PYRNN_NS {

template <class... Cells>
struct CellList {};

using AllCells = CellList<Lstm, Gru, GruResetBefore, RnnTanh, RnnRelu>;

}  // namespace pyrnn::PYRNN_NS
