
    $P_reader reader = {code->weights, 0, 0};
